#pragma once

#include <lovage/clients/amqp/wire.hpp>
#include <lovage/core/json.hpp>

#include <cstddef>

namespace lovage::amqp {

/// Deepest nesting of tables and arrays, in both directions.
inline constexpr std::size_t kTableDepthMax = 32;

/// Appends `table` (an object, raw text of one, or null for an empty table) as an AMQP field table,
/// length first.
///
/// Wire: the type letters are those py-amqp 5 chooses, so that messages equal Celery's byte by
/// byte: text `S`, bool `t`, integers `I` when they fit 32 bits (-2³¹ itself is an `L`), else `L`,
/// floats `d`, objects `F`, arrays `A`, null `V`. The writer fails for integers beyond 64 bits,
/// names beyond 255 bytes and nesting beyond kTableDepthMax. A name that is doubled in raw text is
/// written twice.
void write_table(WireWriter& out, const Json& table);

/// Reads a field table in RabbitMQ's letters (its errata to the specification, section 3).
///
/// What JSON has no type for is mapped: byte arrays and text to text, timestamps to their seconds,
/// decimals to floats. The reader fails on unknown letters and on nesting beyond kTableDepthMax.
[[nodiscard]] Json read_table(WireReader& in);

}  // namespace lovage::amqp
