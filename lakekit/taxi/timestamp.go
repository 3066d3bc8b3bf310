package taxi

import "time"

const (
	timestampLayout = "2006-01-02 15:04:05"
	secondsPerDay   = 24 * 60 * 60

	// The range that has four-digit years: 0000-01-01 to 9999-12-31.
	firstSecond = -62167219200
	lastSecond  = 253402300799
)

// appendTimestamp appends the time as 2009-06-15 17:26:21.
func appendTimestamp(dst []byte, seconds int64) []byte {
	if seconds < firstSecond || seconds > lastSecond {
		return time.Unix(seconds, 0).UTC().AppendFormat(dst, timestampLayout)
	}
	fromFirst := uint64(seconds - firstSecond)
	year, month, day := civil(uint32(fromFirst / secondsPerDay))
	second := uint32(fromFirst % secondsPerDay)
	dst = appendTwoDigits(dst, year/100)
	dst = appendTwoDigits(dst, year%100)
	dst = appendTwoDigits(append(dst, '-'), month)
	dst = appendTwoDigits(append(dst, '-'), day)
	return appendTimeOfDay(append(dst, ' '), second)
}

func appendTimeOfDay(dst []byte, second uint32) []byte {
	h, m, s := second/3600, second/60%60, second%60
	return append(dst, byte('0'+h/10), byte('0'+h%10), ':', byte('0'+m/10), byte('0'+m%10), ':', byte('0'+s/10), byte('0'+s%10))
}

func appendTwoDigits(dst []byte, n uint32) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

const (
	daysPerEra = 146097 // 400 Gregorian years

	// 0000-03-01, from where the leap day is the last day of a year.
	marchOfYearZero = 60
)

// civil turns days since 0000-01-01 into a Gregorian date.
func civil(days uint32) (year, month, day uint32) {
	if days < marchOfYearZero {
		if days < 31 {
			return 0, 1, days + 1
		}
		return 0, 2, days - 31 + 1
	}
	days -= marchOfYearZero
	era, dayOfEra := days/daysPerEra, days%daysPerEra
	yearOfEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36524 - dayOfEra/(daysPerEra-1)) / 365
	dayOfYear := dayOfEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	monthFromMarch := (5*dayOfYear + 2) / 153
	year = era*400 + yearOfEra
	day = dayOfYear - (153*monthFromMarch+2)/5 + 1
	if monthFromMarch < 10 {
		return year, monthFromMarch + 3, day
	}
	return year + 1, monthFromMarch - 9, day
}

// parseTimestamp reads 2009-06-15 17:26:21 UTC, and nothing else.
func parseTimestamp(s []byte) (seconds int64, ok bool) {
	const layout = "dddd-dd-dd dd:dd:dd UTC"
	if len(s) != len(layout) {
		return 0, false
	}
	for i := range s {
		if layout[i] == 'd' {
			if s[i]-'0' > 9 {
				return 0, false
			}
		} else if s[i] != layout[i] {
			return 0, false
		}
	}
	year, month, day := 100*twoDigits(s)+twoDigits(s[2:]), twoDigits(s[5:]), twoDigits(s[8:])
	hour, minute, second := twoDigits(s[11:]), twoDigits(s[14:]), twoDigits(s[17:])
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	return firstSecond + daysSinceYearZero(year, month, day)*secondsPerDay + hour*3600 + minute*60 + second, true
}

func twoDigits(s []byte) int64 { return int64(s[0]-'0')*10 + int64(s[1]-'0') }

func isLeap(year int64) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func daysIn(year, month int64) int64 {
	if month == 2 && isLeap(year) {
		return 29
	}
	return [...]int64{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
}

func daysSinceYearZero(year, month, day int64) int64 {
	days := 365*year + (year+3)/4 - (year+99)/100 + (year+399)/400
	days += [...]int64{0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334}[month-1]
	if month > 2 && isLeap(year) {
		days++
	}
	return days + day - 1
}
