"""What people and programs do: each function is one transaction and answers with a value or `Refused`."""
