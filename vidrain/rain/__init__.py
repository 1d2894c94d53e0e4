"""Rain rendered on clean video by the physics of falling drops: `render.render_rain` is the way in."""
