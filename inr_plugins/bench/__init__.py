"""Benchmarks: many methods on many scenes under one budget and one protocol, and tables from the records alone."""
