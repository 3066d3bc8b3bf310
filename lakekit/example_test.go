package lakekit_test

import (
	"time"

	"taxilake/lakekit"
)

// What the cells of a notebook say, one after the other, when `lakekit up` has
// started the services. Run again it goes on: topic, table and stream are those
// that are there.
func Example() {
	lab := lakekit.Must(lakekit.Connect())
	lakekit.Show(lab.CreateTopic(lakekit.TopicOptions{}))

	traffic := lakekit.Must(lab.StartTraffic(lakekit.TrafficOptions{Records: 100_000, Rate: 20_000}))
	lakekit.Show(traffic.Wait())

	lakekit.Show(lab.CreateTable(lakekit.TableOptions{}))
	stream := lakekit.Must(lab.StartStream(lakekit.StreamOptions{}))
	lakekit.Show(stream.ProcessAllAvailable())

	lakekit.Show(lab.SQL(`
		SELECT date_format(pickup_datetime, 'yyyy-MM') AS month, count(*) AS trips
		FROM taxi_record
		GROUP BY month
		ORDER BY month`))
	lakekit.Show(stream.Watch(5 * time.Second))
	lakekit.Show(stream.Drain())
	lakekit.Show(lab.Verify())
}
