package main

// programs are what this test's binary can be run as.
func programs() map[string]func() {
	return map[string]func(){"portmaster": main, "dial": dial}
}
