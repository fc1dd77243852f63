module safing/bench/port17

go 1.26.4

require (
	github.com/vishvananda/netlink v1.3.1
	golang.org/x/sys v0.49.0
	safing v0.0.0
)

require github.com/vishvananda/netns v0.0.5 // indirect

replace safing => ../..
