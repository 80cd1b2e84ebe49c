"""A sceptic's audit: recomputes what chains did from public RPC alone, with no code of the chain's."""
