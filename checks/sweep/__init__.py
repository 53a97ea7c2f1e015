"""`make sweep`: tries parameters out of a space, each trial a DVC experiment; Optuna says which and keeps the study."""
