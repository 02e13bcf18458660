#pragma once

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

#include <lovage/core/json.hpp>

namespace lovage::testing_support {

/// The JSON file `name` of tests/fixtures; throws LovageError or std::runtime_error when it cannot
/// be read. Targets that use it define LOVAGE_FIXTURES, the folder's path.
inline Json load_fixture(const std::string& name) {
    const std::string path = std::string{LOVAGE_FIXTURES} + "/" + name;
    std::ifstream file{path, std::ios::binary};
    if (!file) throw std::runtime_error{"cannot read " + path};
    std::stringstream text;
    text << file.rdbuf();
    return value_or_throw(parse_json(text.str()));
}

}  // namespace lovage::testing_support
