#pragma once

#include <string>

namespace lovage {

/// Binary data as a task's argument or result: Python's `bytes`.
///
/// Wire: plain text when the bytes are UTF-8, else kombu's
/// `{"__type__": "base64", "__value__": "…"}`; read are both and kombu's `bytes` tag.
struct Bytes {
    std::string data;

    friend bool operator==(const Bytes&, const Bytes&) = default;
};

}  // namespace lovage
