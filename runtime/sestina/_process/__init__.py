"""What a process has of its own: threads, forks, and an end."""
