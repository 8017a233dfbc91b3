"""Measurements that stand behind the figures in the texts; each is a program, run by a target of the Makefile."""
