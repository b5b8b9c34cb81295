"""The embedded robot: a simulated desk arm with exact depth, a scripted expert and visual domains."""
