"""The attacks of tools/attack: inputs, machines and moments that a program must survive. tools/attack runs them and says more."""
