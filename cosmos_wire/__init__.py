"""What a chain and its clients both need to speak Cosmos on the wire. Pure: no I/O, no clock."""
