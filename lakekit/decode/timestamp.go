package decode

import "time"

// parseTimestamp reads a timestamp as microseconds since 1970 UTC:
//
//	2009-06-15 17:26:21
//	2009-06-15 17:26:21.0000001
//	2009-06-15 17:26:21 UTC
//	2009-06-15T17:26:21.5Z
//	2009-06-15T17:26:21+08:00
//
// Without a zone it is UTC. Digits beyond the microsecond are cut off, as
// Spark does.
func parseTimestamp(text []byte) (micros int64, ok bool) {
	const seconds = len("2009-06-15T17:26:21")
	if len(text) < seconds || text[10] != ' ' && text[10] != 'T' || text[13] != ':' || text[16] != ':' {
		return 0, false
	}
	days, ok := parseDate(text[:10])
	hour, minute, second := twoDigits(text[11:]), twoDigits(text[14:]), twoDigits(text[17:])
	if !ok || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	fraction, zone, ok := parseFraction(text[seconds:])
	if !ok {
		return 0, false
	}
	offset, ok := parseZone(zone)
	clock := int64(hour)*3600 + int64(minute)*60 + int64(second)
	return (int64(days)*86400+clock-offset)*1e6 + fraction, ok
}

// parseDate reads 2009-06-15 as days since 1970.
func parseDate(text []byte) (days int32, ok bool) {
	if len(text) != len("2009-06-15") || text[4] != '-' || text[7] != '-' {
		return 0, false
	}
	century, year := twoDigits(text), twoDigits(text[2:])
	month, day := twoDigits(text[5:]), twoDigits(text[8:])
	if century > 99 || year > 99 || month-1 > 11 || day-1 > 30 {
		return 0, false
	}
	y, m := int(century*100+year), time.Month(month)
	if day > daysIn(m, y) {
		return 0, false
	}
	return daysSince1970(y, int(m), int(day)), true
}

// twoDigits is over 99 where the first two bytes are not digits.
func twoDigits(text []byte) uint {
	tens, ones := uint(text[0])-'0', uint(text[1])-'0'
	if tens > 9 || ones > 9 {
		return 100
	}
	return tens*10 + ones
}

func daysIn(m time.Month, year int) uint {
	switch m {
	case time.April, time.June, time.September, time.November:
		return 30
	case time.February:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSince1970 counts in years that begin in March, where the leap day is
// the last and a month's first day is a linear function of the month.
func daysSince1970(year, month, day int) int32 {
	const daysFromMarchOfYear0To1970 = 719468
	if month < 3 {
		year, month = year-1, month+12
	}
	years := year + 400 // keeps the division below positive for January of year 0
	return int32(365*years + years/4 - years/100 + years/400 - 146097 + (153*(month-3)+2)/5 + day - 1 - daysFromMarchOfYear0To1970)
}

// parseFraction reads ".5" as microseconds; no fraction is zero.
func parseFraction(text []byte) (micros int64, rest []byte, ok bool) {
	if len(text) == 0 || text[0] != '.' {
		return 0, text, true
	}
	i, unit := 1, int64(100_000)
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		micros += int64(text[i]-'0') * unit
		unit /= 10
	}
	return micros, text[i:], i > 1
}

// parseZone reads the offset from UTC in seconds: nothing, Z, " UTC", +08,
// +0800 or +08:00.
func parseZone(text []byte) (seconds int64, ok bool) {
	switch string(text) {
	case "", "Z", " UTC":
		return 0, true
	}
	sign := int64(1)
	switch text[0] {
	case '-':
		sign = -1
	case '+':
	default:
		return 0, false
	}
	text = text[1:]
	var minute uint
	switch {
	case len(text) == 2:
	case len(text) == 4:
		minute = twoDigits(text[2:])
	case len(text) == 5 && text[2] == ':':
		minute = twoDigits(text[3:])
	default:
		return 0, false
	}
	// 18 hours is the widest offset of java.time.ZoneOffset.
	hour := twoDigits(text)
	if hour > 18 || minute > 59 || hour == 18 && minute > 0 {
		return 0, false
	}
	return sign * int64(hour*3600+minute*60), true
}
