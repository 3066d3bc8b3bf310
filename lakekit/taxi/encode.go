package taxi

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// Header is the first line of the real file and of the CSV written here.
const Header = "key,fare_amount,pickup_datetime,pickup_longitude,pickup_latitude,dropoff_longitude,dropoff_latitude,passenger_count"

// AppendJSON appends the record as one JSON object with the course's field
// names and no line break. A missing dropoff is null, and so is a number JSON
// cannot hold (NaN, infinity). Key bytes that are no UTF-8 become U+FFFD.
func AppendJSON(dst []byte, r *Record) []byte {
	dst = append(dst, `{"key":`...)
	dst = appendJSONString(dst, r.Key)
	dst = append(dst, `,"fare_amount":`...)
	dst = appendJSONFloat(dst, r.FareAmount)
	dst = append(dst, `,"pickup_datetime":"`...)
	dst = appendTimestamp(dst, r.PickupDatetime)
	dst = append(dst, ` UTC","pickup_longitude":`...)
	dst = appendJSONFloat(dst, r.PickupLongitude)
	dst = append(dst, `,"pickup_latitude":`...)
	dst = appendJSONFloat(dst, r.PickupLatitude)
	dst = append(dst, `,"dropoff_longitude":`...)
	dst = appendJSONNullFloat(dst, r.DropoffLongitude)
	dst = append(dst, `,"dropoff_latitude":`...)
	dst = appendJSONNullFloat(dst, r.DropoffLatitude)
	dst = append(dst, `,"passenger_count":`...)
	dst = strconv.AppendInt(dst, int64(r.PassengerCount), 10)
	return append(dst, '}')
}

func appendJSONNullFloat(dst []byte, v NullFloat64) []byte {
	if !v.Valid {
		return append(dst, "null"...)
	}
	return appendJSONFloat(dst, v.Float64)
}

func appendJSONFloat(dst []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(dst, "null"...)
	}
	return appendFloat(dst, v)
}

func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	plain := 0
	for plain < len(s) && s[plain] >= ' ' && s[plain] < utf8.RuneSelf && s[plain] != '"' && s[plain] != '\\' {
		plain++
	}
	dst = append(dst, s[:plain]...)
	for i := plain; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
			i++
		case c < ' ':
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			i++
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			char, size := utf8.DecodeRune(s[i:])
			dst = utf8.AppendRune(dst, char)
			i += size
		}
	}
	return append(dst, '"')
}

// AppendCSV appends the record as one line of the file, line feed included.
// A missing dropoff is an empty field. The key is quoted (RFC 4180) where it
// has to be; CSVReader reads every record back whose key is not empty and has
// no line break and whose numbers are finite.
func AppendCSV(dst []byte, r *Record) []byte {
	dst = appendCSVString(dst, r.Key)
	dst = appendFloat(append(dst, ','), r.FareAmount)
	dst = appendTimestamp(append(dst, ','), r.PickupDatetime)
	dst = append(dst, " UTC"...)
	dst = appendFloat(append(dst, ','), r.PickupLongitude)
	dst = appendFloat(append(dst, ','), r.PickupLatitude)
	dst = appendCSVNullFloat(append(dst, ','), r.DropoffLongitude)
	dst = appendCSVNullFloat(append(dst, ','), r.DropoffLatitude)
	dst = strconv.AppendInt(append(dst, ','), int64(r.PassengerCount), 10)
	return append(dst, '\n')
}

func appendCSVNullFloat(dst []byte, v NullFloat64) []byte {
	if !v.Valid {
		return dst
	}
	return appendFloat(dst, v.Float64)
}

// needsQuotes is 1 for a byte that a field may hold in quotes only.
var needsQuotes = [256]byte{',': 1, '"': 1, '\r': 1, '\n': 1}

func appendCSVString(dst, s []byte) []byte {
	quoted := byte(0)
	for _, c := range s {
		quoted |= needsQuotes[c]
	}
	if quoted == 0 {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for _, c := range s {
		if c == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
