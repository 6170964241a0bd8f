"""What a run or a sweep has left, in formats that other tools read: `leomix export`."""
