"""What a chain checks of its network, in integers: AC feasibility (C2), its own schedule, and near-optimality (C3)."""
