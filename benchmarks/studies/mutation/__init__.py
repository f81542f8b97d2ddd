"""Mutation testing: faults are planted in the rules, one at a time, and the tests are asked."""
