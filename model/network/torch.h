// What the files that use LibTorch include, precompiled. Internal: no public header includes it.
#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/function.h>
