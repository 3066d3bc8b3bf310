// Package marginals holds records against the published figures of the real
// file: how trips spread over years, months, weekdays and hours, what they
// cost, how far they go, and which mistakes are in them.
//
// Counts takes records one by one in constant memory, whatever their number;
// Compare puts what it counted next to datasets/published.json. Check does so
// for a CSV file and counts its bad rows by reason. A Comparison prints itself
// as text, as Markdown and, group by group, as a chart.
//
// Caveat: a published figure of a sample is itself inexact; a Figure's Chance
// is only the deviation that the counted records may have by chance.
package marginals
