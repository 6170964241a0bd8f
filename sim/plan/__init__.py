"""Who sees whom and who is served when: the contact plan of a scenario."""
