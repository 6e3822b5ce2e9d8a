// SPDX-License-Identifier: Apache-2.0
//! The requests that wait for a response, by id.

const NOWHERE: u16 = u16::MAX;

/// A map from ids to requests. Only a few of the 256 ids are in use at a time. The requests are
/// stored in a compact list, because a table of 256 requests would evict the model from the data
/// cache.
pub(super) struct Requests<T> {
    place: [u16; 256],
    places: Vec<Option<T>>,
    free: Vec<u16>,
}

impl<T> Requests<T> {
    pub fn new() -> Self {
        Self {
            place: [NOWHERE; 256],
            places: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Returns true if the map is empty.
    pub fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// Stores the request of an id, and replaces the previous request of the id.
    pub fn insert(&mut self, id: u8, request: T) {
        let place = &mut self.place[usize::from(id)];
        if *place == NOWHERE {
            *place = self.free.pop().unwrap_or(self.places.len() as u16);
        }
        let place = usize::from(*place);
        if place == self.places.len() {
            self.places.push(Some(request));
        } else {
            self.places[place] = Some(request);
        }
    }

    #[inline]
    pub fn get(&self, id: u8) -> Option<&T> {
        let place = self.place[usize::from(id)];
        self.places.get(usize::from(place))?.as_ref()
    }

    #[inline]
    pub fn get_mut(&mut self, id: u8) -> Option<&mut T> {
        let place = self.place[usize::from(id)];
        self.places.get_mut(usize::from(place))?.as_mut()
    }

    pub fn take(&mut self, id: u8) -> Option<T> {
        let place = std::mem::replace(&mut self.place[usize::from(id)], NOWHERE);
        let request = self.places.get_mut(usize::from(place))?.take();
        self.free.push(place);
        request
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places.iter_mut().flatten()
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_what_was_kept_for_it_last() {
        let mut requests = Requests::new();
        for id in 0..=255 {
            requests.insert(id, u32::from(id));
        }
        for id in (0..=255).step_by(3) {
            assert_eq!(requests.take(id), Some(id.into()));
            assert_eq!(requests.take(id), None);
        }
        for id in (0..=255).step_by(6) {
            requests.insert(id, 1000 + u32::from(id));
        }
        requests.insert(1, 7);
        for id in 0..=255 {
            let expected = match id {
                1 => Some(7),
                _ if id % 6 == 0 => Some(1000 + u32::from(id)),
                _ if id % 3 == 0 => None,
                _ => Some(u32::from(id)),
            };
            assert_eq!(requests.get(id).copied(), expected, "id {id}");
        }
        assert_eq!(requests.iter().count(), 256 - 86 + 43);
        for id in 0..=255 {
            requests.take(id);
        }
        assert!(requests.is_empty());
    }
}
