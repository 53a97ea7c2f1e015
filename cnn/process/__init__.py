"""How a stage starts and ends: its errors, its signals, the machine it runs on."""
