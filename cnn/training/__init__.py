"""How the network is trained: loop, step, rates, augmentation, checkpoint. For train."""
