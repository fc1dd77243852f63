package client

import "safing/tinker"

// suites returns those that may be used.
func (c *Client) suites() (usable []tinker.SuiteID) {
	for _, s := range tinker.Suites() {
		if c.policies.Check(s) == nil {
			usable = append(usable, s)
		}
	}
	return usable
}
