package broker

import (
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// control has every request of a kind go through answer before kfake carries
// it out: a response or an error, which ends the connection, is what the client
// gets instead. One function for a key, as each registers itself anew: kfake
// keeps the last request of every connection that a control function has ever
// seen, as long as the function is there.
func control(c *kfake.Cluster, key kmsg.Key, answer func(kmsg.Request) (kmsg.Response, error)) {
	c.ControlKey(key.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.DropControl()
		control(c, key, answer)
		response, err := answer(r)
		return response, err, response != nil || err != nil
	})
}

// A produceCheck returns nil for a request that the next check, and kfake, get.
type produceCheck func(*kmsg.ProduceRequest) (kmsg.Response, error)

// checkProduce lets the checks go through every Produce request, in order.
func checkProduce(c *kfake.Cluster, checks ...produceCheck) {
	control(c, kmsg.Produce, func(r kmsg.Request) (kmsg.Response, error) {
		for _, check := range checks {
			if response, err := check(r.(*kmsg.ProduceRequest)); response != nil || err != nil {
				return response, err
			}
		}
		return nil, nil
	})
}
