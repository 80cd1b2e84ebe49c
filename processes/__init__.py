"""Groups of processes below one folder: started, watched, signalled and stopped by name; leased ports."""
