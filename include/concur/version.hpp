// SPDX-License-Identifier: BSL-1.0
// The version, stated once: CMake reads these three lines too.
#pragma once

#define CONCUR_VERSION_MAJOR 0
#define CONCUR_VERSION_MINOR 1
#define CONCUR_VERSION_PATCH 0
