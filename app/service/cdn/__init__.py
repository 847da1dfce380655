"""The CDN origin: signed URLs whose answers caches can live on."""
