"""What every room stands on: errors, the cache, archives, hashes, processes and native libraries."""
