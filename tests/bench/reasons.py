"""Why a target is missed, in words of people. Key: figure and what it is compared with."""

REASONS = {}
