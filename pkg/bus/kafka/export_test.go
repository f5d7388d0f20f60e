package kafka

import "time"

// RefreshLagEvery makes tests of the lag quick.
func (c *Consumer) RefreshLagEvery(d time.Duration) { c.refresh = d }
