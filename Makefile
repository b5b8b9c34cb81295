# make setup | demo | test | docs | lint | format | colcon | clean
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo docs test lint types unit format colcon clean

# Nothing here may see the Python packages of a sourced ROS installation.
unexport PYTHONPATH
unexport PYTHONHOME

BIN := .venv/bin
CODE := src tests launch examples scripts setup.py

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup:  ## .venv with everything pinned, and the GL libraries
	@scripts/setup.sh

demo: setup  ## the embedded arm: cameras, policy in closed loop, every run recorded
	@$(BIN)/emma demo

test: setup lint types unit  ## lint, types and all tests

lint:
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types:
	$(BIN)/mypy

unit:
	$(BIN)/python -m pytest -n logical --dist loadfile --durations 15

format: setup  ## put the code into shape
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

docs: setup  ## the reference from the code, and the site in build/site
	$(BIN)/python scripts/reference.py
	$(BIN)/mkdocs build

colcon: setup  ## build the ROS 2 package into ros2_ws/install
	cd ros2_ws && ../$(BIN)/colcon build

clean:  ## remove builds, not the environment
	rm -rf build dist ros2_ws/build ros2_ws/install ros2_ws/log src/*.egg-info
