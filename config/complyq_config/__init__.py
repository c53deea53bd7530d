"""Configuration of Complyq: settings, Celery settings and logging. Imports none of the other packages."""
