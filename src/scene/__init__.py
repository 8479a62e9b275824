"""Parameters to image: cameras, hash grid, field, background, occupancy, rendering, regularisers."""
