"""IBC v2 (ICS-02, 04, 24 and 26 as ibc-go v10 has them): packets between clients, without connections and channels."""
