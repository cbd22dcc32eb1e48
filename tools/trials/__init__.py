"""Trials of the rotation protocol over a network that fails: who acts, what is promised, what is switched off."""
