"""The whole way from a target system to a report: recipe, steps and pages."""
