#pragma once

#include <string>

#include "db/record/record.h"

// Records as text for other tools, one a line, every field under the same name in both formats.
// Numbers are written so that reading them back gives the same value. What is unknown (values of
// the environment that could not be read, the cost of a failed trial) is empty in CSV and null in
// JSON. Times are RFC 3339, UTC.

namespace tessera::db {

// RFC 4180, with line feeds; lists are separated by semicolons inside their field.
std::string RecordCsvHeader();
std::string ToCsvLine(const Record& record);

// One JSON object and a line feed. Bytes that are not UTF-8 become U+FFFD. The seed is a string,
// since many readers of JSON hold numbers only up to 2^53.
std::string ToJsonLine(const Record& record);

}  // namespace tessera::db
