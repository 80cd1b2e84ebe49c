"""The slot at level 1: orders, clearing at the gate, settlement from the meters."""
