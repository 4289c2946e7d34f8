"""What `monet_watch.styles.paint_water_garden` paints with: palette, scene, brush, and the things in the scene."""
