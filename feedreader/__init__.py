"""What both readers share: feeds, how they are fetched, and the pages. It knows nothing about queues."""
