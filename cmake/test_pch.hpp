#pragma once
// Precompiled for the tests of core, which knows nothing of Asio; all other tests add
// cmake/boost/pch.hpp.
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
