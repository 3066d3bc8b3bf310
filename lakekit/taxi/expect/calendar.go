package expect

// when is the parts of a time the charts group by.
type when struct{ year, month, weekday, hour int } // weekday 0 is Sunday

// moment takes seconds since 1970 apart by counting years and months, which
// is slow and plain on purpose: it checks date functions that are neither.
func moment(seconds int64) when {
	days := floorDivide(seconds, 86400)
	at := when{
		year: 1970,
		hour: int((seconds - days*86400) / 3600),
		// 1970-01-01 was a Thursday.
		weekday: int(((days+4)%7 + 7) % 7),
	}
	for days < 0 {
		at.year--
		days += daysOfYear(at.year)
	}
	for days >= daysOfYear(at.year) {
		days -= daysOfYear(at.year)
		at.year++
	}
	at.month = 1
	for days >= daysOfMonth(at.year, at.month) {
		days -= daysOfMonth(at.year, at.month)
		at.month++
	}
	return at
}

func daysOfYear(year int) int64 {
	if isLeap(year) {
		return 366
	}
	return 365
}

func daysOfMonth(year, month int) int64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if isLeap(year) {
			return 29
		}
		return 28
	}
	return 31
}

func isLeap(year int) bool { return year%400 == 0 || year%4 == 0 && year%100 != 0 }
