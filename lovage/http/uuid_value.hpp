#pragma once

#include <string>

#include <lovage/core/conversion.hpp>

namespace lovage::http {

/// A UUID as a parameter type: 36 characters, lower case. Read in every form pydantic takes (32
/// digits, braces, "urn:uuid:"), refused with pydantic's words.
struct Uuid {
    std::string text;
    friend bool operator==(const Uuid&, const Uuid&) = default;
};

}  // namespace lovage::http

template <>
struct lovage::JsonConverter<lovage::http::Uuid> {
    static void read(const Json& value, http::Uuid& out, ConversionContext& context);
    static Json write(const http::Uuid& value) { return Json{value.text}; }
    static Json schema(SchemaDefinitions& definitions);
    static std::string type_name() { return "UUID"; }
};
