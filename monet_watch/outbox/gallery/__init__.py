"""The gallery: pages in the outbox that show every painting, what is under way, and what went wrong.

Plain files: no server, no request to anywhere, and data as scripts, since a browser reads nothing else beside a page
that it has opened from a folder.
"""
