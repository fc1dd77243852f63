module safing/bench/port17

go 1.26.4

require golang.org/x/sys v0.49.0
