#pragma once

#include <cstddef>
#include <string>

#include <lovage/core/json.hpp>

namespace lovage {

/// Python's `repr()` of `value` on one line, for logs and messages: `{'a': [1, None, 'it\'s']}`.
/// Control characters, separators and lone surrogates come out escaped, so that foreign text cannot
/// forge a second line. What is longer than `characters_max` (code points) is cut and ends in
/// "...". (celery_repr in task_message.hpp is the other one: the text Celery puts on the wire.)
[[nodiscard]] std::string python_repr(const Json& value, std::size_t characters_max = 1024);

}  // namespace lovage
