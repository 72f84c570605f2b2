"""`sestina bench`: this bundle and its peers, measured side by side on this machine.

Every contender runs in processes of its own, so that one's threads, allocator and imports cannot touch
another's times. What was measured becomes one document (`document`), and everything that is printed is
drawn from that document alone.
"""
