package taxi

// maker made a taxi's meter. It is not in the file and yet seen in much of it:
// VTS's meters cut the seconds off until 2014, their drivers type in nearly all
// the fives and sixes, CMT's the zeros, and their positions fail at other times.
type maker int

const (
	cmt maker = iota // Creative Mobile Technologies
	vts              // VeriFone
)

// passengers knows how many people ride along. Who would ride alone has
// company more often late and on weekends; the fives and sixes, which are the
// car's or the driver's habit, do not change with the hour.
type passengers struct {
	counts       []int32
	since        [][2]alias // of counts, by maker, at the hour with the least company
	company      alias      // of 2, 3 and 4
	companyShare [2][24]float64
}

func newPassengers(p *profile) *passengers {
	drawn := &passengers{counts: p.PassengerCounts, company: newAlias(p.Company[:]), companyShare: p.CompanyShare}
	for _, since := range p.Passengers {
		drawn.since = append(drawn.since, [2]alias{cmt: newAlias(since.CMT), vts: newAlias(since.VTS)})
	}
	return drawn
}

func (p *passengers) draw(at *moment, by maker, random *stream) int32 {
	count := p.counts[p.since[at.passengers][by].pick(random.next())]
	if count != 1 {
		return count
	}
	if random.uniform() < p.companyShare[at.leisure()][at.hour] {
		return 2 + int32(p.company.pick(random.next()))
	}
	return count
}
